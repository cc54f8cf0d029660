//! The HTTP adapter: the Pinning Service API and its OpenAPI document.
