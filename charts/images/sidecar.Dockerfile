# The file system comes from rootfs.sh, which `make images` runs too:
#   docker build --file charts/images/sidecar.Dockerfile "$CARGO_TARGET_DIR/images/sidecar"
FROM scratch
COPY . /
LABEL org.opencontainers.image.title="llmcache-sidecar"
LABEL org.opencontainers.image.description="The sidecar of llmcache: between an app and its LLM provider"
LABEL org.opencontainers.image.licenses="Apache-2.0"
ENV LLMCACHE_MODEL_DIR="/model"
USER 64535:64535
ENTRYPOINT ["/llmcache"]
