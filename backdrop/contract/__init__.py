"""What server and fake share of the contract: limits, the parts of a request, checks, and picture arithmetic.

Nothing here serves requests or needs a model. A request is checked against `GetInfoResponse`, which is what a server
says about itself, so the same code refuses the same requests wherever it runs. The arithmetic on pixels that both must
agree on needs NumPy and Pillow only: from files to pictures and masks (`files/`, `raster.py`, `colour.py`,
`pictures.py`, `mattes.py`, `masks.py`), to a canvas (`canvas.py`, `cutouts.py`, `products.py`), and from a scene to an
encoded picture with its receipt (`finishing.py`, `receipts.py`).
"""
