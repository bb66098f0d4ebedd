"""How the states of several text encoders become one sequence, by family."""

import numpy as np

from orchestrator.repository import T5
from orchestrator.stages.text import joined_states

SMALL, LARGE = np.full((3, 2), 1, np.float32), np.full((3, 4), 2, np.float32)
LONG = np.full((5, 8), 3, np.float32)


def test_clip_encoders_are_joined_along_their_features() -> None:
    joined = joined_states({"text_encoder_l": SMALL, "text_encoder_g": LARGE})
    assert joined.tolist() == [[1, 1, 2, 2, 2, 2]] * 3


def test_t5_alone_stays_as_it_is() -> None:
    assert joined_states({T5: LONG}).tolist() == LONG.tolist()


def test_clip_is_padded_to_t5s_width_and_comes_first() -> None:
    joined = joined_states({"text_encoder_l": SMALL, "text_encoder_g": LARGE, T5: LONG})
    assert joined.shape == (8, 8)
    assert joined[:3].tolist() == [[1, 1, 2, 2, 2, 2, 0, 0]] * 3
    assert joined[3:].tolist() == LONG.tolist()
