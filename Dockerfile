# dynowarden in a container: `docker build -t dynowarden .`; needs neither BuildKit nor anything from the host.

FROM docker.io/library/rust:1.95-bookworm AS builder
WORKDIR /build

# .dockerignore passes only what the build needs.
COPY . .
RUN cargo build --release --locked --bin dynowarden

# /data is for the record, and like /tmp writable for whoever the container runs as: Heroku and OpenShift
# choose a user id of their own, and Heroku knows no volumes.
RUN install -D -m 0755 target/release/dynowarden /image/usr/local/bin/dynowarden \
 && install -d -m 1777 /image/data

# glibc, libgcc and CA certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12
COPY --from=builder /image /

# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
ENV DATABASE_URL=sqlite:///data/dynowarden.db
VOLUME /data
EXPOSE 8080

# An entry point, so that no shell is needed, on Heroku neither: there the words of CMD come as one argument,
# and one word is the same either way. dynowarden ends at SIGTERM as process 1 too.
ENTRYPOINT ["/usr/local/bin/dynowarden"]
CMD ["serve"]
