# Two images, built from the root of a checkout: `--target orchestrator` is the service, `--target models` adds a model
# repository for its `store publish`. Both hold hash-pinned wheels and our code, and no build tools.
FROM python:3.11-slim-trixie@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93 AS wheels
COPY k8s/images/orchestrator.txt /requirements.txt
RUN python -m pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
      --target /opt/backdrop/packages --requirement /requirements.txt

FROM python:3.11-slim-trixie@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93 AS orchestrator
COPY --from=wheels /opt/backdrop/packages /opt/backdrop/packages
COPY backdrop /opt/backdrop/backdrop
COPY orchestrator /opt/backdrop/orchestrator
# The root file system is read-only, so Python cannot write bytecode at run time.
ENV PYTHONPATH=/opt/backdrop:/opt/backdrop/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/backdrop
USER 10001:10001
EXPOSE 50061 9090
# The kubelet probes by gRPC, with the periods of the manifests.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m"]
CMD ["orchestrator"]

FROM orchestrator AS models
COPY --chown=10001:10001 triton_repo /repository
# Checks every digest once and leaves the mark of that, for pods that mount this image as a volume.
RUN python -m orchestrator.repository.store publish --from /repository --to /repository
USER 10001:10001
HEALTHCHECK NONE
CMD ["orchestrator.repository.store", "check", "--at", "/repository"]
