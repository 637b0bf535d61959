//! The client of the Platform API: the few calls that this program can make, and the meaning of each
//! response.
//!
//! The list of calls is compiled in ([`Call`]). A path contains typed names only, so no call can restart a
//! whole process type or a whole app. Nothing is retried here either: the engine decides whether to ask
//! again, after an inspection.

mod app_facts;
mod call;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::config::settings::HerokuSettings;
use crate::heroku::app_facts::KnownFacts;
use crate::heroku::call::Call;
use crate::heroku::transport::{Fault, Miss, Response, Transport};
use crate::metrics::Metrics;
use dynowarden_core::api::inspection::{Answers, Fit};
use dynowarden_core::api::json::{self, Account, AppInfo, Drain, Feature, Formation, Garbled};
use dynowarden_core::api::{ApiError, DeleteResult, DynoInfo, FormationInfo, Owner, answer};
use dynowarden_core::days::size::{self, DynoSize, Tenancy};
use dynowarden_core::ident::{AppName, DynoName, ProcessType};
use dynowarden_core::limits;

/// A client of the Platform API; cheap to clone.
#[derive(Clone, Debug)]
pub struct Heroku {
    facts: KnownFacts,
    transport: Transport,
}

/// An answer, and the account's remaining calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    pub value: T,
    /// `RateLimit-Remaining` of the last response.
    pub tokens_remaining: Option<u32>,
}

impl<T> Answered<T> {
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Answered<U> {
        Answered { value: into(self.value), tokens_remaining: self.tokens_remaining }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("HEROKU_API_KEY is not set")]
    NoToken,
    /// The token contains characters that a header cannot carry.
    #[error("HEROKU_API_KEY contains characters that no token has, such as a line break")]
    Token,
    /// The system's certificates or the TLS library are not usable.
    #[error(
        "HTTPS is not available here; install the package ca-certificates, or set SSL_CERT_FILE to a file \
         of certificates"
    )]
    Tls(#[source] reqwest::Error),
    #[error("HEROKU_API_URL is not a URL such as https://api.heroku.com")]
    Url,
}

// === impl Heroku ===

impl Heroku {
    /// A client with the token and the address of the settings.
    ///
    /// # Errors
    /// No usable token, address or TLS.
    pub fn new(settings: &HerokuSettings, metrics: Arc<Metrics>) -> Result<Self, ClientError> {
        Ok(Self { facts: KnownFacts::default(), transport: Transport::new(settings, metrics)? })
    }

    /// All dynos of the listed process types, what their formation demands, and then the named dyno alone.
    pub async fn inspect(
        &self,
        app: &AppName,
        listed: &[ProcessType],
        dyno: Option<&DynoName>,
    ) -> Answered<Result<FormationInfo, ApiError>> {
        let mut tokens_remaining = None;
        let value = self.look(app, listed, dyno, &mut tokens_remaining).await;
        Answered { value, tokens_remaining }
    }

    async fn look(
        &self,
        app: &AppName,
        listed: &[ProcessType],
        dyno: Option<&DynoName>,
        tokens: &mut Option<u32>,
    ) -> Result<FormationInfo, ApiError> {
        let of_list = OnceLock::new();
        let list = |body: &[u8]| {
            if let Some(owner) = json::owner(body) {
                // The first page has said so before.
                let _known = of_list.set(owner);
            }
            json::dynos(body, listed)
        };
        let mut formation = self.list(Call::Dynos(app), list, tokens).await?;
        let (quantities, is_fresh) = self.quantities(app, listed, &formation, tokens).await?;
        if is_fresh
            && let Some(quantities) = quantities.as_deref()
            && Fit::of(listed, &formation, quantities) == Fit::Lacks
        {
            // It may have grown between the two answers.
            formation = self.list(Call::Dynos(app), list, tokens).await?;
        }
        let mut owner = of_list.get().cloned();
        let preboot = self.has_preboot(app, tokens).await?;
        let dyno = match dyno {
            None => None,
            Some(name) => match self.one(app, name, tokens).await? {
                Some((seen, of_dyno)) => {
                    owner = of_dyno.or(owner);
                    Some((name, Some(seen)))
                }
                None => Some((name, None)),
            },
        };
        let quantities = quantities.as_deref();
        let view = FormationInfo::assemble(Answers { dyno, formation, listed, quantities, preboot })?;
        Ok(FormationInfo { app: owner, ..view })
    }

    /// One dyno by its name, and the app that it belongs to.
    async fn one(
        &self,
        app: &AppName,
        dyno: &DynoName,
        tokens: &mut Option<u32>,
    ) -> Result<Option<(DynoInfo, Option<Owner>)>, ApiError> {
        match self.transport.page(Call::Dyno(app, dyno), None, tokens).await {
            Err(Miss::NotFound) => Ok(None),
            Err(Miss::ApiError(error)) => Err(error),
            Ok(page) => match json::dyno(&page.body) {
                Ok(seen) if seen.name == *dyno => Ok(Some((seen, json::owner(&page.body)))),
                Ok(seen) => Err(ApiError::Garbled {
                    what: format!("asked for {dyno}, the answer is about {}", seen.name),
                }),
                Err(garbled) => Err(unreadable(&garbled)),
            },
        }
    }

    /// One dyno by its name; none if the API knows none of that name.
    pub async fn poll(&self, app: &AppName, dyno: &DynoName) -> Answered<Result<Option<DynoInfo>, ApiError>> {
        let mut tokens_remaining = None;
        let value = self.one(app, dyno, &mut tokens_remaining).await;
        Answered { value: value.map(|seen| seen.map(|(seen, _)| seen)), tokens_remaining }
    }

    /// `DELETE` of exactly one dyno: the platform replaces it.
    pub async fn delete(&self, app: &AppName, dyno: &DynoName) -> Answered<DeleteResult> {
        let call = Call::DeleteDyno(app, dyno);
        let mut tokens = None;
        let value = match self.transport.send(call, None, &mut tokens).await {
            Err(Fault::NotSent(what)) => DeleteResult::Refused(ApiError::Unreachable { what }),
            Err(Fault::Lost(what)) => DeleteResult::Lost { what },
            Ok(response) => {
                let Response { status, body, wait } = self.transport.whole(response).await;
                match body {
                    Ok(body) => answer::deletion(status.as_u16(), &body, wait),
                    Err(error) => DeleteResult::Lost { what: error.to_string() },
                }
            }
        };
        self.transport.count(
            call.label(),
            match &value {
                DeleteResult::Accepted => "ok",
                DeleteResult::Gone => "not_found",
                DeleteResult::Lost { .. } => "lost",
                DeleteResult::Refused(error) => error.label(),
            },
        );
        Answered { value, tokens_remaining: tokens }
    }

    /// The owner of the token.
    pub async fn account(&self) -> Answered<Result<Account, ApiError>> {
        self.fetch(Call::Account, json::account).await
    }

    /// The token's scope, such as `global` or `write`, once known: every response has `Oauth-Scope`, though
    /// undocumented (<https://blog.heroku.com/oauth-for-platform-api-in-public-beta>).
    pub fn scope(&self) -> Option<&str> {
        self.transport.scope()
    }

    /// `Date` of the API's last response, to the second.
    pub fn date(&self) -> Option<Timestamp> {
        self.transport.date()
    }

    pub async fn app(&self, app: &AppName) -> Answered<Result<AppInfo, ApiError>> {
        self.fetch(Call::App(app), json::app).await
    }

    /// The account's remaining calls; costs none of them.
    pub async fn rate_limits(&self) -> Answered<Result<u32, ApiError>> {
        let answered = self.fetch(Call::RateLimits, json::rate_limits).await;
        let tokens_remaining = answered.value.as_ref().ok().copied().or(answered.tokens_remaining);
        Answered { tokens_remaining, ..answered }
    }

    pub async fn drains(&self, app: &AppName) -> Answered<Result<Vec<Drain>, ApiError>> {
        self.fetch_list(Call::Drains(app), json::drains).await
    }

    pub async fn create_drain(&self, app: &AppName, url: &SecretString) -> Answered<Result<Drain, ApiError>> {
        self.fetch(Call::CreateDrain(app, url), json::drain).await
    }

    /// The desired number of dynos of each process type.
    pub async fn formation(&self, app: &AppName) -> Answered<Result<Vec<Formation>, ApiError>> {
        self.fetch_list(Call::Formation(app), json::formation).await
    }

    /// An app's features, enabled or not.
    pub async fn features(&self, app: &AppName) -> Answered<Result<Vec<Feature>, ApiError>> {
        self.fetch_list(Call::Features(app), json::features).await
    }

    /// All sizes of dynos with their memory and price.
    pub async fn dyno_sizes(&self) -> Answered<Result<Vec<DynoSize>, ApiError>> {
        self.fetch_list(Call::DynoSizes, size::dyno_sizes).await
    }

    /// Where an app runs and on which sizes; none if the API does not say.
    pub async fn tenancy(&self, app: &AppName) -> Option<Tenancy> {
        let info = self.app(app).await.value.ok()?;
        let formation = self.formation(app).await.value.ok()?;
        let sizes = formation.into_iter().filter_map(|formation| {
            let Formation { process_type, size, .. } = formation;
            Some((process_type, size?))
        });
        Some(Tenancy { is_fir: info.is_fir(), in_space: info.space.is_some(), sizes: sizes.collect() })
    }

    async fn fetch<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Answered<Result<T, ApiError>> {
        let mut tokens = None;
        let value = match self.transport.page(call, None, &mut tokens).await {
            Ok(page) => decode(&page.body).map_err(|garbled| unreadable(&garbled)),
            Err(miss) => Err(miss.error(call)),
        };
        Answered { value, tokens_remaining: tokens }
    }

    async fn fetch_list<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<Vec<T>, Garbled>,
    ) -> Answered<Result<Vec<T>, ApiError>> {
        let mut tokens = None;
        let value = self.list(call, decode, &mut tokens).await;
        Answered { value, tokens_remaining: tokens }
    }

    async fn list<T>(
        &self,
        call: Call<'_>,
        decode: impl Fn(&[u8]) -> Result<Vec<T>, Garbled>,
        tokens: &mut Option<u32>,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        let mut range = None;
        for _ in 0..limits::API_PAGES_MAX {
            let page = self.transport.page(call, range, tokens).await.map_err(|miss| miss.error(call))?;
            all.extend(decode(&page.body).map_err(|garbled| unreadable(&garbled))?);
            match (page.is_partial, page.next) {
                (false, _) => return Ok(all),
                (true, Some(next)) => range = Some(next),
                (true, None) => {
                    let what =
                        "a list is truncated, and the response does not say where it continues".to_owned();
                    return Err(ApiError::Garbled { what });
                }
            }
        }
        Err(ApiError::Garbled { what: format!("a list has more than {} pages", limits::API_PAGES_MAX) })
    }
}

fn unreadable(garbled: &Garbled) -> ApiError {
    ApiError::Garbled { what: garbled.to_string() }
}

// === impl Miss ===

impl Miss {
    fn error(self, call: Call<'_>) -> ApiError {
        match self {
            Self::ApiError(error) => error,
            Self::NotFound if call.is_about_app() => ApiError::NoSuchApp,
            Self::NotFound => ApiError::Refused {
                status: StatusCode::NOT_FOUND.as_u16(),
                id: "not_found".to_owned(),
                message: "the API knows no such thing".to_owned(),
            },
        }
    }
}
