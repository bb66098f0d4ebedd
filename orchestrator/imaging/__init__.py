"""Pictures as arrays: decoding what comes in, placing the product, compositing and encoding what goes out."""
