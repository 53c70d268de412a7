# The file system comes from rootfs.sh, which `make images` runs too:
#   docker build --file charts/images/operator.Dockerfile "$CARGO_TARGET_DIR/images/operator"
FROM scratch
COPY . /
LABEL org.opencontainers.image.title="llmcache-operator"
LABEL org.opencontainers.image.description="The operator of llmcache: policies in, snapshots and sidecars out"
LABEL org.opencontainers.image.licenses="Apache-2.0"
USER 64535:64535
ENTRYPOINT ["/llmcache-operator"]
