//! The token: whether the API accepts it, and whether it may do what it must and no more.

use crate::api::{ApiError, SETTLE};
use crate::health::facts::TokenFacts;
use crate::health::finding::{Finding, Subject};
use crate::limits;

/// The API does not accept the token.
pub(super) fn refused() -> Finding {
    let text = format!("{}; restarts are off for all apps", ApiError::Unauthorized);
    Finding::error(Subject::Token, text, NEW_TOKEN)
}

pub(super) fn check(token: &TokenFacts) -> Vec<Finding> {
    let error = |text: String, fix: &str| vec![Finding::error(Subject::Token, text, fix)];
    let (account, scope, calls_left) = match token {
        TokenFacts::Missing => {
            return error("HEROKU_API_KEY is not set, so Heroku was not checked".to_owned(), NEW_TOKEN);
        }
        TokenFacts::NoHttps => {
            let fix = "install the package ca-certificates, or set SSL_CERT_FILE to a file of certificates";
            return error("HTTPS is not available here, so Heroku was not checked".to_owned(), fix);
        }
        TokenFacts::Unusable { what } => return error(what.clone(), NEW_TOKEN),
        TokenFacts::Asked { account, scope, calls_left } => (account, scope.as_deref(), calls_left),
    };
    match account {
        Err(ApiError::Unauthorized) => return vec![refused()],
        // Only an answer about the account proves that the token is valid.
        Err(
            why @ (ApiError::Unreachable { .. }
            | ApiError::Garbled { .. }
            | ApiError::NoSuchApp
            | ApiError::Refused { .. }),
        ) => {
            let fix = "check HEROKU_API_URL, the network, proxies and https://status.heroku.com";
            return error(why.to_string(), fix);
        }
        Err(why @ ApiError::Throttled { .. }) => {
            let fix = format!(
                "wait a minute, and check again; Heroku restores {} calls a minute",
                limits::API_TOKENS_PER_MINUTE
            );
            return vec![Finding::warning(Subject::Token, format!("not known: {why}"), fix)];
        }
        // The API refuses such an account, regardless of the token's scope.
        Err(why) if why.is_account_unsettled() => return error(why.to_string(), SETTLE),
        _ => {}
    }
    let mut findings = vec![scope_finding(scope, account.is_ok())];
    if let Some(left) = calls_left.filter(|left| *left < limits::API_TOKENS_RESERVE) {
        let text = format!(
            "only {left} API calls are left for this account: below {} it is no longer watched in rounds, \
             and below {} nothing is restarted",
            limits::API_TOKENS_RESERVE,
            limits::API_TOKENS_RESERVE_OF_RESTARTS
        );
        let fix = format!(
            "wait (Heroku restores {} calls a minute), and find out what else uses the account",
            limits::API_TOKENS_PER_MINUTE
        );
        findings.push(Finding::warning(Subject::Token, text, fix));
    }
    findings
}

/// Judges `Oauth-Scope`, which separates scopes by commas or blanks (heroku.md §5).
fn scope_finding(scope: Option<&str>, reads_account: bool) -> Finding {
    let Some(scope) = scope else {
        return match reads_account {
            // `GET /account` is for the scopes `identity` and `global`.
            true => {
                let text = "valid, but it can read the account, so its scope is probably global";
                Finding::warning(Subject::Token, text, NEW_TOKEN)
            }
            false => Finding::ok(Subject::Token, "valid and not global; the API does not report its scope"),
        };
    };
    let words: Vec<&str> = scope.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let has = |word| words.contains(&word);
    if !(has("global") || has("write") || has("write-protected")) {
        let text = format!("valid, but its scope is {scope}: it cannot restart anything");
        return Finding::error(Subject::Token, text, NEW_TOKEN);
    }
    let more = match () {
        () if has("global") => "everything the account can, config vars and billing included",
        () if has("write-protected") || has("read-protected") => "read and write config vars",
        () if has("identity") => "read the account",
        () => return Finding::ok(Subject::Token, format!("valid, scope {scope}: exactly what it needs")),
    };
    let text = format!("valid, but its scope is {scope}: it can do more than it needs ({more})");
    Finding::warning(Subject::Token, text, NEW_TOKEN)
}

/// What ends a rejected token for the daemon, which reads its settings once. `check` prints the command for
/// its own environment.
pub const RENEW: &str = "set HEROKU_API_KEY to a new token, and restart dynowarden: \
                         heroku authorizations:create -s write -d dynowarden --short";

const NEW_TOKEN: &str =
    "export HEROKU_API_KEY=$(heroku authorizations:create -s write -d dynowarden --short)";
