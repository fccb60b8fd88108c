//! What a request asks for: the query string and the name in the path, read strictly.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tallybook_core::Timestamp;
use utoipa::IntoParams;

use super::error::ApiError;

const MAX_LIMIT: u32 = 1000;
const MAX_OFFSET: u32 = i32::MAX as u32;
const PAGING: [&str; 4] = ["limit", "offset", "after", "order"];

/// The page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// Items on the page.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: u32,
    /// Items to pass over. For long lists, `after` is quicker and sees every item once.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647, default = 0)]
    pub(crate) offset: u32,
    /// The `next` of the page before this one, under the same filters and order.
    #[serde(default)]
    pub(crate) after: Option<String>,
    /// The direction: names go up and numbers and times go down unless told otherwise.
    #[serde(default)]
    #[param(inline)]
    pub(crate) order: Option<Order>,
}

/// A direction of sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

fn default_limit() -> u32 {
    100
}

/// The parameters of a list: its page and its own filters. A name that is neither is refused.
#[derive(Debug)]
pub(crate) struct ListParams<F> {
    pub(crate) paging: Paging,
    pub(crate) filter: F,
}

/// The parameters of an address that is not a list.
#[derive(Debug)]
pub(crate) struct Params<F>(pub(crate) F);

/// No parameters: any is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// The name at the end of the path; it may hold `/`.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for ListParams<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let is_paging = |pair: &&str| PAGING.contains(&pair.split('=').next().unwrap_or_default());
        let (paging, filter): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_paging);
        let paging: Paging = parse(&paging.join("&"))?;
        if !(1..=MAX_LIMIT).contains(&paging.limit) {
            return Err(ApiError::invalid_query(format!("limit: {} is not between 1 and {MAX_LIMIT}", paging.limit)));
        }
        if paging.offset > MAX_OFFSET {
            return Err(ApiError::invalid_query(format!("offset: {} is more than {MAX_OFFSET}", paging.offset)));
        }
        Ok(Self { paging, filter: parse(&filter.join("&"))? })
    }
}

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Params<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(ApiError::invalid_path(rejection.body_text())),
        }
    }
}

fn parse<F: DeserializeOwned>(query: &str) -> Result<F, ApiError> {
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let uri = uri.map_err(|error| ApiError::invalid_query(error.to_string()))?;
    match Query::try_from_uri(&uri) {
        Ok(Query(filter)) => Ok(filter),
        Err(rejection) => {
            let text = rejection.body_text();
            let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Err(ApiError::invalid_query(reason))
        }
    }
}

/// Reads a text that must not be empty.
pub(crate) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(serde::de::Error::custom("must not be empty; leave it out instead"));
    }
    Ok(Some(text))
}

/// The same of a number that may be left out or not.
pub(crate) fn natural<'de, D: Deserializer<'de>, T: From<u64>>(deserializer: D) -> Result<T, D::Error> {
    Ok(count(deserializer)?.unwrap_or_default().cast_unsigned().into())
}

/// Reads a number that must not be negative and fits a 64-bit integer at rest.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = i64::deserialize(deserializer)?;
    if number < 0 {
        return Err(serde::de::Error::custom(format!("{number} is less than 0")));
    }
    Ok(Some(number))
}

/// Reads RFC 3339 or says that it is not.
pub(crate) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Timestamp::deserialize(deserializer).map(Some)
}
