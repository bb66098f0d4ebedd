# Builds engines and writes a node's view of them. The base is the Triton that will load them, so both have the same
# TensorRT. Python is the base's, 3.12. tensorrt.txt pins the bindings of that TensorRT by hash;
# `make image-locks TENSORRT=VERSION` writes it.
FROM nvcr.io/nvidia/tritonserver:26.06-py3@sha256:a40838bb4587d2aceb46b1e7fd144afb24c9016c219dd3eba31716e4e28dbfc7
COPY k8s/images/engine-builder.txt k8s/images/tensorrt.txt /requirements/
RUN python3 -m pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
      --target /opt/backdrop/packages --requirement /requirements/engine-builder.txt
# No dependencies: the bindings load the libraries of the base.
RUN python3 -m pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: --no-deps \
      --target /opt/backdrop/packages --requirement /requirements/tensorrt.txt \
 && mkdir --parents /opt/backdrop/bin && ln --symbolic "$(command -v python3)" /opt/backdrop/bin/python
COPY export /opt/backdrop/export
ENV PYTHONPATH=/opt/backdrop:/opt/backdrop/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/backdrop/bin:${PATH}
WORKDIR /opt/backdrop
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m"]
CMD ["export.engines", "--help"]
