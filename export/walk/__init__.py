"""One request through a pipeline's components, from prompt and photo to latents and picture.

A caller gives `Walk` three things: the pipeline (an opened diffusers folder), an opener that returns a runner for each
role (a torch module, an exported graph, anything that maps named arrays to named arrays), and requests. The rehearsal
and the training's evaluation make their pictures with it. The loop is diffusers' own scheduler with classifier-free
guidance, built by diffusers from the folder's own config. Neither the orchestrator's solvers nor the export's reading
of the schedule have a part in it.

    folder = open_folder(Path("training/weights/backdrop"))
    request = WalkRequest("a beach", WalkFrame.of(photo, mask, (256, 256), factor=8), steps=8, guidance=5.0, seed=0)
    (result,) = Walk(folder, opener).run([request])   # result.latents [1, C, h, w], result.picture [1, 3, H, W]
"""
