//! ApiVersions, versions 0–4: which APIs are served, and in which versions.
//!
//! * Most clients send it first. Then they use the newest version that both sides know.
//! * A version that is not served is answered too: in the layout of version 0, with `UNSUPPORTED_VERSION` and the
//!   range of ApiVersions itself. So the client can ask again (KIP-511).
//! * A client's name or version that is not made of letters, digits, `-` and `.` is `INVALID_REQUEST`.
//!
//! Left out: features (KIP-584). Kafka lists `transaction.version` and others. This broker has no transactions, so it
//! lists none.

use crate::{
    api::{APIS, Context, ServedApi, Software},
    error_code::ErrorCode,
    wire::{
        ApiKey,
        messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
    },
};

pub(crate) fn answer(cx: &Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let (name, version) = (&request.client_software_name, &request.client_software_version);
    if cx.version >= 3 && !(is_software_word(name) && is_software_word(version)) {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    if cx.version >= 3 {
        cx.session.tell_software(Software { name: name.to_string(), version: version.to_string() });
        tracing::debug!("a client sent its name and version: {}", cx.session);
    }
    // -1: there are no finalized features.
    ApiVersionsResponse::default()
        .with_api_keys(APIS.iter().map(range).collect())
        .with_finalized_features_epoch(-1)
}

/// The answer to a version from the future.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    let own = APIS.iter().filter(|api| api.key == ApiKey::ApiVersions);
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(own.map(range).collect())
}

fn range(api: &ServedApi) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(api.advertised)
        .with_max_version(api.max)
}

/// Kafka's pattern: letters and digits, with `-` and `.` between them.
fn is_software_word(word: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(is_inner)
}
