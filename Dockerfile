# Container image: `docker build -t dynowarden .`. It needs no BuildKit and nothing from the host.

# Images are named by digest, so that a build tomorrow starts from the same octets. To move to a newer one:
# `docker pull NAME:TAG` prints its digest.
FROM docker.io/library/rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS builder
WORKDIR /build

# .dockerignore passes only what the build needs.
COPY . .
# What `dynowarden --version` shows: `docker build --build-arg DYNOWARDEN_COMMIT=$(git rev-parse HEAD) .`
ARG DYNOWARDEN_COMMIT
RUN cargo build --release --locked --bin dynowarden

# /data holds the database. Like /tmp it is writable by every user, because Heroku and OpenShift choose the user ID
# and Heroku has no volumes.
RUN install -D -m 0755 target/release/dynowarden /image/usr/local/bin/dynowarden \
 && install -d -m 1777 /image/data

# glibc, libgcc and CA certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12@sha256:e8e7ee4b8b106d4c5fde9e422a321b2b8a2d5cca546c97adcce927f3e1d36e36
COPY --from=builder /image /

# Numeric, so that an orchestrator can verify that it is not root.
USER 65532:65532
ENV DATABASE_URL=sqlite:///data/dynowarden.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK CMD ["/usr/local/bin/dynowarden", "healthcheck"]

# An entry point, because the image has no shell. Heroku passes CMD as a single argument, which makes no difference
# for one word. dynowarden also exits on SIGTERM as process 1.
ENTRYPOINT ["/usr/local/bin/dynowarden"]
CMD ["serve"]
