# One image for the one-shot migration, the API and the runner.
FROM python:3.11.15-slim-bookworm

WORKDIR /sijil
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY ledger ledger
COPY projections projections
COPY office office
COPY api api
COPY consumers consumers
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system --home-dir /sijil sijil
USER sijil
ENTRYPOINT ["sijil"]
