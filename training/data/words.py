"""Common prompt words that the captions do not use; the tokenizer learns them, to split prompts into few tokens."""

_TEXT = """
a an the and or of in on at with without by from for to near over under behind between above below inside outside
around red orange yellow green teal blue purple pink white black brown grey gray gold golden silver beige cream navy
turquoise crimson violet magenta cyan lavender mint coral peach ivory bronze copper emerald ruby sapphire pastel
neon vivid dark bright light pale deep warm cool soft hard bold muted colourful colorful monochrome rainbow gradient
glossy matte shiny photo photograph photography picture image render rendering illustration painting drawing sketch
watercolor oil cinematic realistic photorealistic hyperrealistic detailed highly detail sharp focus blurred blurry
bokeh background foreground backdrop close up closeup macro wide angle shot view portrait landscape aerial lens
camera studio lighting lit shadow shadows reflection reflections dramatic moody natural ambient volumetric rays
sunlight moonlight candlelight spotlight product advertising advert commercial brand catalog marketing banner poster
minimal minimalist minimalistic elegant luxury luxurious modern vintage retro rustic classic futuristic cyberpunk
steampunk fantasy magical dreamy surreal abstract cute beautiful gorgeous stunning aesthetic pretty cozy cosy calm
peaceful romantic festive fresh clean simple plain empty beach sea ocean sand sandy shore coast wave waves palm
palms tropical island lagoon boat sailboat pier surf summer vacation city street road urban town downtown skyline
skyscraper skyscrapers building buildings rooftop bridge river traffic cafe restaurant bar shop store market window
windows night lights lamp lamps alley subway station car cars bus train space galaxy stars star starry planet
planets moon lunar mars nebula cosmic cosmos universe astronaut rocket orbit rings forest wood woods woodland tree
trees pine pines birch oak jungle rainforest leaves leaf moss fern path trail misty mist fog foggy autumn fall
spring winter snow snowy ice icy frozen rain rainy storm stormy cloud clouds cloudy sky sunny sunset sunrise dawn
dusk noon midnight morning evening afternoon day golden hour twilight season christmas halloween easter desert dune
dunes cactus cacti sahara canyon cliff cliffs rock rocks rocky stone stones mesa oasis dry hot heat mountain
mountains peak peaks alpine valley hill hills lake river waterfall meadow field fields grass flowers flower garden
rose roses tulip tulips lavender sunflower sunflowers daisy cherry blossom petals bouquet vase plant plants pot
potted kitchen counter worktop table wooden wood marble granite tile tiles tiled shelf shelves wall walls floor room
living bedroom bathroom office desk sofa couch chair bed curtain carpet fireplace home house interior indoor outdoor
outdoors terrace bottle mug cup glass shoe shoes sneaker sneakers boot boots perfume handbag bag backpack purse
watch clock can soda drink juice coffee tea wine beer water milk cream cosmetic cosmetics lipstick makeup shampoo
soap candle jar box package phone headphones laptop keyboard speaker toy car bike bicycle chair sofa shirt dress
jacket hat cap sunglasses glasses ring necklace earrings jewelry jewellery fruit fruits lemon lemons orange oranges
apple apples strawberry berries banana bread cake chocolate cheese pizza burger salad spices herbs honey splash
splashes smoke fire flame water drops droplets bubbles podium pedestal platform stage plinth silk satin velvet
fabric linen paper concrete metal steel plastic leather ceramic texture textured pattern patterned striped floral
geometric round square tall small big large huge tiny old new man woman person people girl boy child hand hands dog
cat bird birds horse fish butterfly no not quality best masterpiece ultra high low resolution hd uhd 4k 8k trending
award winning professional style inspired very many few one two three ugly deformed bad worst watermark text logo
cropped noise noisy artifacts oversaturated distorted extra seam
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
