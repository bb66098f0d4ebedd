"""Phrases for everything but the place of a caption: time, weather, palette, accent, detail, product, style."""

from __future__ import annotations

TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("in daylight", "during the day", "at noon", "in the daytime", ""),
    "sunset": ("at sunset", "at golden hour", "in the evening", "at dusk", "in warm light"),
    "night": ("at night", "at midnight", "on a dark night", "after dark"),
    "dawn": ("at dawn", "at sunrise", "in the early morning", "in pink morning light"),
}

CLEAR_SKY_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("on a sunny day", "under a blue sky", "on a clear day", "in bright sunshine"),
    "sunset": ("with a warm orange sunset sky",),
    "night": ("under the stars", "in the moonlight"),
    "dawn": ("with a clear sky at sunrise",),
}
"""Words for a time of day that also say that the sky is clear."""

WEATHER_WORDS: dict[str, tuple[str, ...]] = {
    "clear": ("in clear weather", "", "", ""),
    "cloudy": ("under a cloudy sky", "in cloudy weather", "with grey clouds", "overcast", "under a grey sky"),
    "mist": ("in the mist", "in thick fog", "misty", "with haze", "foggy", "in the fog"),
    "rain": ("in the rain", "in rainy weather", "with rain", "in a storm", "in pouring rain", "on a wet rainy day"),
}

SNOWFALL_WORDS = ("in falling snow", "while it snows", "in a snowstorm", "with snowflakes in the air")
"""Words for rain where there is snow."""

PALETTE_WORDS: dict[str, tuple[str, ...]] = {
    "natural": ("in natural colours", "", "", ""),
    "golden": ("in golden tones", "in a golden palette", "with a warm golden look", "in sepia gold"),
    "teal": ("in teal tones", "in a teal palette", "with a cool teal look", "in cyan tones"),
    "rose": ("in rose tones", "in a pink palette", "with a soft rose look", "in pastel pink tones"),
    "violet": ("in violet tones", "in a purple palette", "with a violet look", "in lavender tones"),
    "mono": ("in black and white", "monochrome", "in a grey palette", "as a black and white photo"),
}

ACCENT_WORDS: dict[str, tuple[str, ...]] = {
    "studio": ("with a {c} backdrop", "in {c}", "with {c} background", "with {c} light", "on {c}"),
    "space": ("with a {c} nebula", "with {c} nebula clouds", "with {c} clouds", "with {c} light", "glowing {c}"),
    "kitchen": ("with {c} walls", "with {c} tiles", "with {c} cupboards", "with a {c} wall", "painted {c}"),
    "lounge": ("with {c} walls", "with a {c} wall", "painted {c}", "in a {c} room"),
    "city": ("with {c} neon lights", "with {c} lights"),
    "market": ("with {c} lanterns", "with {c} awnings", "with {c} stalls"),
}

DETAIL_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("beach", "palms"): ("with palm trees", "with palms"),
    ("beach", "rocks"): ("with rocks", "with a rocky island"),
    ("beach", "sailboat"): ("with a sailboat", "with a boat at sea"),
    ("beach", "waves"): ("with waves", "with white surf"),
    ("city", "skyline"): ("with a skyline", "seen from a rooftop"),
    ("city", "street"): ("with a long street", "on the road"),
    ("city", "neon"): ("with neon signs", "with glowing signs"),
    ("city", "river"): ("by the river", "with reflections in the water"),
    ("space", "planet"): ("with a planet", "with a big planet"),
    ("space", "ringed planet"): ("with a ringed planet", "with saturn rings"),
    ("space", "moon"): ("with a moon", "on the lunar surface"),
    ("space", "nebula"): ("with a glowing nebula", "with colourful clouds"),
    ("forest", "pines"): ("with pine trees", "with fir trees"),
    ("forest", "birches"): ("with birch trees", "with white birches"),
    ("forest", "path"): ("with a path", "on a winding path"),
    ("forest", "sunbeams"): ("with sunbeams", "with rays of light"),
    ("studio", "plain"): ("", "seamless"),
    ("studio", "bokeh"): ("with bokeh", "with blurred lights"),
    ("studio", "podium"): ("on a podium", "on a round pedestal"),
    ("studio", "spotlight"): ("with a spotlight", "with dramatic light"),
    ("desert", "dunes"): ("with dunes", "with rolling dunes"),
    ("desert", "cactus"): ("with a cactus", "with tall cacti"),
    ("desert", "mesas"): ("with mesas", "with red cliffs"),
    ("desert", "rocks"): ("with rocks", "with boulders"),
    ("mountain", "lake"): ("with a lake", "with a clear blue lake"),
    ("mountain", "peaks"): ("with snowy peaks", "with sharp peaks"),
    ("mountain", "pines"): ("with pine trees", "with fir trees"),
    ("mountain", "meadow"): ("with a meadow", "with a green meadow"),
    ("kitchen", "window"): ("with a window", "by the window"),
    ("kitchen", "shelves"): ("with shelves", "with open shelves"),
    ("kitchen", "tiles"): ("with tiles", "with a tiled wall"),
    ("kitchen", "plants"): ("with plants", "with green potted plants"),
    ("snow", "firs"): ("with fir trees", "with snowy firs"),
    ("snow", "cabin"): ("with a cabin", "with a small wooden house"),
    ("snow", "hills"): ("with hills", "with white hills"),
    ("snow", "snowman"): ("with a snowman", "beside a snowman"),
    ("market", "lanterns"): ("with lanterns", "with paper lanterns"),
    ("market", "stalls"): ("with stalls", "with fruit stalls"),
    ("market", "awnings"): ("with awnings", "with striped awnings"),
    ("market", "string lights"): ("with string lights", "with fairy lights"),
    ("garden", "roses"): ("with roses", "full of flowers", "with rose beds"),
    ("garden", "hedges"): ("with hedges", "behind a tall hedge"),
    ("garden", "fountain"): ("with a fountain", "with a stone fountain"),
    ("garden", "pergola"): ("under a pergola", "with a wooden pergola"),
    ("harbour", "boats"): ("with fishing boats", "with boats", "with colourful boats"),
    ("harbour", "lighthouse"): ("with a lighthouse", "near a lighthouse"),
    ("harbour", "pier"): ("on a wooden pier", "on the jetty"),
    ("harbour", "houses"): ("with colourful houses", "with old houses"),
    ("lounge", "sofa"): ("with a sofa", "with a couch and cushions"),
    ("lounge", "fireplace"): ("by the fireplace", "with an open fire"),
    ("lounge", "window"): ("by a tall window", "with curtains"),
    ("lounge", "plants"): ("with house plants", "with large green plants"),
    ("library", "books"): ("with old books", "full of books"),
    ("library", "ladder"): ("with a ladder", "with a wooden ladder"),
    ("library", "arched window"): ("with an arched window", "by the arched window"),
    ("library", "desk lamp"): ("with a desk lamp", "with a green reading lamp"),
}

PRODUCT_WORDS: dict[str, tuple[str, ...]] = {
    "bottle": ("bottle", "drink bottle", "glass bottle", "bottle of juice"),
    "mug": ("mug", "coffee mug", "ceramic mug", "cup, a mug of tea"),
    "shoe": ("shoe", "sneaker shoe", "running shoe", "sports shoe"),
    "perfume": ("perfume bottle", "perfume", "perfume flacon", "flask of perfume"),
    "handbag": ("handbag", "leather handbag", "elegant handbag", "fashion handbag"),
    "lamp": ("lamp", "table lamp", "desk lamp", "reading lamp"),
    "watch": ("watch", "wrist watch", "smart watch", "luxury watch"),
    "can": ("can", "soda can", "drink can", "can of lemonade"),
    "headphones": ("headphones", "wireless headphones", "pair of headphones", "studio headphones"),
    "backpack": ("backpack", "travel backpack", "school backpack", "hiking backpack"),
    "jar": ("jar", "glass jar", "cosmetic jar", "jar of jam"),
    "teapot": ("teapot", "ceramic teapot", "tea pot", "porcelain teapot"),
}

OPENINGS = ("", "", "a photo of ", "a product photo of ", "an advert with ", "professional photo of ", "picture of ")
LINKS = (" on ", " in ", " in front of ", ", ", " standing in ", " at ", " placed in ")
STYLES = (
    "",
    "",
    "",
    ", high quality",
    ", soft light",
    ", photorealistic",
    ", advertising photo",
    ", beautiful",
    ", 4k",
)
