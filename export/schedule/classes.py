"""Every scheduler class of diffusers and every key of the served ones: which is served, and how the others are refused.

The tables are those of diffusers 0.42; a test compares classes, keys and defaults with the installed version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.keys.rules import NoEffect, Only, Rule, Served
from export.keys.values import FLAG, FRACTION, OPTIONAL_POSITIVE, POSITIVE, one_of, whole
from export.schedule.rules import OFF, SchedulerClass, betas

Keys = Mapping[str, tuple[Any, Rule]]

_BETA_SCHEDULES = one_of("linear", "scaled_linear", "squaredcos_cap_v2")
_PREDICTIONS = one_of("epsilon", "v_prediction", "sample")
_SPACINGS = one_of("leading", "trailing", "linspace")
_BETAS: Keys = {
    "num_train_timesteps": (1000, whole("an integer from 2 to 100,000", 2, 100_000)),
    "beta_start": (0.0001, FRACTION),
    "beta_end": (0.02, FRACTION),
    "beta_schedule": ("linear", _BETA_SCHEDULES),
    "trained_betas": (None, Served("null, or num_train_timesteps numbers between 0 and 1", betas)),
    "prediction_type": ("epsilon", _PREDICTIONS),
}
_OFFSET: Keys = {"steps_offset": (0, whole("an integer from 0 on", 0))}
_ZERO_SNR: Keys = {"rescale_betas_zero_snr": (False, FLAG)}
_CLIPPING: Keys = {"clip_sample": (True, FLAG), "clip_sample_range": (1.0, POSITIVE)}
_THRESHOLDING: Keys = {
    "thresholding": (False, Only(OFF, "dynamic thresholding is for models of pixels and is not served")),
    "dynamic_thresholding_ratio": (0.995, NoEffect("read with thresholding alone")),
    "sample_max_value": (1.0, NoEffect("read with thresholding alone")),
}
_SIGMAS: Keys = {
    "use_karras_sigmas": (False, FLAG),
    "use_exponential_sigmas": (False, FLAG),
    "use_beta_sigmas": (False, FLAG),
}
_LEARNED = "learned variances are not served: the denoiser returns no variance"
_SHIFTING = "shifts that follow the picture's size are not served"
_SHIFT_TYPE = Only(("exponential", "linear"), "it must be exponential or linear")

_DDIM: Keys = {
    **_BETAS,
    **_CLIPPING,
    **_THRESHOLDING,
    **_OFFSET,
    **_ZERO_SNR,
    "set_alpha_to_one": (True, FLAG),
    "timestep_spacing": ("leading", _SPACINGS),
}
_DDPM: Keys = {
    **_BETAS,
    **_CLIPPING,
    **_THRESHOLDING,
    **_OFFSET,
    **_ZERO_SNR,
    "timestep_spacing": ("leading", _SPACINGS),
    "variance_type": (
        "fixed_small",
        Only((None, "fixed_small", "fixed_small_log"), "only the variances fixed_small and fixed_small_log are served"),
    ),
}
_PNDM: Keys = {
    **_BETAS,
    **_OFFSET,
    "prediction_type": ("epsilon", Only(("epsilon",), "PNDM is served for prediction_type epsilon alone")),
    "skip_prk_steps": (False, Only((True,), "PNDM's Runge-Kutta steps are not served: set skip_prk_steps to true")),
    "set_alpha_to_one": (False, FLAG),
    "timestep_spacing": ("leading", _SPACINGS),
}
_EULER: Keys = {
    **_BETAS,
    **_SIGMAS,
    **_OFFSET,
    **_ZERO_SNR,
    "interpolation_type": ("linear", Only(("linear",), "only interpolation_type linear is served")),
    "sigma_min": (None, OPTIONAL_POSITIVE),
    "sigma_max": (None, OPTIONAL_POSITIVE),
    "timestep_spacing": ("linspace", _SPACINGS),
    "timestep_type": ("discrete", one_of("discrete", "continuous")),
    "final_sigmas_type": ("zero", one_of("zero", "sigma_min")),
}
_DPMPP: Keys = {
    **_BETAS,
    **_THRESHOLDING,
    **_SIGMAS,
    **_OFFSET,
    **_ZERO_SNR,
    "solver_order": (2, Only((2,), "DPM-Solver++ is served with solver_order 2 alone")),
    "algorithm_type": (
        "dpmsolver++",
        Only(("dpmsolver++",), "of DPM-Solver's algorithms only dpmsolver++ is served"),
    ),
    # diffusers reads the words of DEIS and UniPC as "midpoint".
    "solver_type": (
        "midpoint",
        Only(("midpoint", "logrho", "bh1", "bh2"), "DPM-Solver++ is served with solver_type midpoint alone"),
    ),
    "lower_order_final": (True, FLAG),
    "euler_at_final": (False, FLAG),
    "use_lu_lambdas": (False, FLAG),
    "use_flow_sigmas": (False, Only(OFF, "DPM-Solver++ on flows is not served")),
    "flow_shift": (1.0, NoEffect("read with use_flow_sigmas alone")),
    "final_sigmas_type": ("zero", one_of("zero", "sigma_min")),
    "lambda_min_clipped": (float("-inf"), Only((float("-inf"),), "clipped λ are not served")),
    "variance_type": (
        None,
        Only((None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"), _LEARNED),
    ),
    "timestep_spacing": ("linspace", _SPACINGS),
    "use_dynamic_shifting": (False, Only(OFF, _SHIFTING)),
    "time_shift_type": ("exponential", _SHIFT_TYPE),
}
_LCM: Keys = {
    **_BETAS,
    **_CLIPPING,
    **_THRESHOLDING,
    **_ZERO_SNR,
    "beta_start": (0.00085, FRACTION),
    "beta_end": (0.012, FRACTION),
    "beta_schedule": ("scaled_linear", _BETA_SCHEDULES),
    "clip_sample": (False, FLAG),
    "original_inference_steps": (50, Only((50,), "the sampler has original_inference_steps 50")),
    "timestep_scaling": (10.0, Only((10.0,), "the sampler has timestep_scaling 10")),
    "set_alpha_to_one": (True, NoEffect("LCM never steps past its last timestep")),
    "steps_offset": (0, NoEffect("LCM chooses among the timesteps that it was distilled at")),
    "timestep_spacing": ("leading", NoEffect("LCM chooses among the timesteps that it was distilled at")),
}
_FLOW: Keys = {
    "num_train_timesteps": _BETAS["num_train_timesteps"],
    "shift": (1.0, POSITIVE),
    **_SIGMAS,
    "use_dynamic_shifting": (False, Only(OFF, _SHIFTING)),
    **{
        key: (default, NoEffect("read with use_dynamic_shifting alone"))
        for key, default in {
            "base_shift": 0.5,
            "max_shift": 1.15,
            "base_image_seq_len": 256,
            "max_image_seq_len": 4096,
        }.items()
    },
    "time_shift_type": ("exponential", _SHIFT_TYPE),
    "invert_sigmas": (False, Only(OFF, "inverted σ are not served")),
    "shift_terminal": (None, Only((None, 0), "a shifted last σ is not served")),
    "stochastic_sampling": (False, Only(OFF, "stochastic sampling of flows is not served")),
}
_ENDS: Mapping[str, Rule] = {"sigma_min": OPTIONAL_POSITIVE, "sigma_max": OPTIONAL_POSITIVE}
_NO_ENDS: Mapping[str, Rule] = dict.fromkeys(_ENDS, Only((None,), "ends of a flow's σ are not served"))

CLASSES: Mapping[str, SchedulerClass] = {
    "DDIMScheduler": SchedulerClass("ddim", _DDIM, {}),
    "EulerDiscreteScheduler": SchedulerClass("euler", _EULER, {}),
    "DPMSolverMultistepScheduler": SchedulerClass("dpmpp_2m", _DPMPP, _ENDS),
    "DDPMScheduler": SchedulerClass("ddpm", _DDPM, {}),
    "PNDMScheduler": SchedulerClass("pndm", _PNDM, {}),
    "LCMScheduler": SchedulerClass("lcm", _LCM, {}),
    "FlowMatchEulerDiscreteScheduler": SchedulerClass("flow_euler", _FLOW, _NO_ENDS),
}
"""The served classes, in the order in which `pipeline.json` lists their solvers."""
CLASS_OF = {each.solver: name for name, each in CLASSES.items()}
DIFFUSION_SOLVERS = ("ddim", "euler", "dpmpp_2m", "ddpm")
"""What walks any schedule of betas. PNDM is offered where the folder names it, LCM where it was distilled for it."""

OF_BETAS = (
    *("DDIMParallelScheduler", "DDPMParallelScheduler", "DEISMultistepScheduler", "DPMSolverSDEScheduler"),
    *("DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "SASolverScheduler"),
    *("TCDScheduler", "UniPCMultistepScheduler"),
)
"""Classes that are not served, but whose betas the served solvers can walk."""
OF_FLOWS = ("FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler")
"""Likewise, for flows."""
OF_OTHER_KINDS = (
    *("AmusedScheduler", "BlockRefinementScheduler", "CMStochasticIterativeScheduler", "CogVideoXDDIMScheduler"),
    *("CogVideoXDPMScheduler", "ConsistencyDecoderScheduler", "CosineDPMSolverMultistepScheduler"),
    *("DDIMInverseScheduler", "DDPMWuerstchenScheduler", "DPMSolverMultistepInverseScheduler"),
    *("DiscreteDDIMScheduler", "EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "EntropyBoundScheduler"),
    *("FlowMapEulerDiscreteScheduler", "HeliosDMDScheduler", "HeliosScheduler", "IPNDMScheduler"),
    *("KarrasVeScheduler", "LTXEulerAncestralRFScheduler", "MiniMaxH3Scheduler", "PiflowScheduler"),
    *("RFD4ProteinaScheduler", "RePaintScheduler", "SCMScheduler", "ScoreSdeVeScheduler", "ScoreSdeVpScheduler"),
    *("UnCLIPScheduler", "VQDiffusionScheduler"),
)
"""Classes whose noise levels no served solver knows."""
OTHER_KEYS = frozenset(
    {
        *("corrector_order", "disable_corrector", "noise_sampler_seed", "predict_x0", "predictor_order", "rho"),
        *("scale_factors", "sigma_data", "sigma_schedule", "solver_p", "tau_func", "upscale_mode"),
        # Of diffusers before 0.10.
        *("tensor_format", "timestep_values"),
    }
).union(*(each.keys for each in CLASSES.values()))
"""Keys that some class of diffusers reads; without effect where the served class does not read them."""
AMENDED: Mapping[str, Mapping[str, Any]] = {
    "StableDiffusionPipeline": {"steps_offset": 1, "clip_sample": False},
    "StableDiffusionImg2ImgPipeline": {"steps_offset": 1, "clip_sample": False},
    "StableDiffusionInpaintPipeline": {"steps_offset": 1, "skip_prk_steps": True},
}
"""What diffusers' pipeline classes set in the config of their scheduler, whatever the file says."""
