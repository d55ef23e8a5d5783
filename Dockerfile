# syntax=docker/dockerfile:1
# The app on the CPU of a machine of one's own:  docker compose up   (docs/deploy.md)
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential cmake \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/app
ENV PATH=/opt/app/bin:$PATH
# No instructions that only the building machine has; AVX2 stays on. Compiling takes about ten minutes on two cores.
ENV CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"
WORKDIR /build
COPY requirements.txt requirements-embedded.txt ./
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt -r requirements-embedded.txt

FROM python:3.11-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 app \
 && install -d -o app -g app /home/app/.cache/huggingface /home/app/votes
COPY --from=build /opt/app /opt/app
WORKDIR /app
COPY space space
COPY assets assets
COPY docs docs
COPY LICENSE CHANGELOG.md ./
ENV PATH=/opt/app/bin:$PATH HOST=0.0.0.0 PORT=7860 PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE HOME=/home/app
USER 1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4)"]
CMD ["python", "space/app.py"]
