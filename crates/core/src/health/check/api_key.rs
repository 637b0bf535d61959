//! The token: whether the API takes it, and whether it can do what it must and no more.

use crate::api::ApiError;
use crate::health::check::facts::{Facts, TokenFacts};
use crate::health::check::finding::{Finding, Subject};
use crate::limits;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let (account, scope, calls_left) = match &facts.token {
        TokenFacts::Missing => {
            let text = "HEROKU_API_KEY is not set, so nothing at Heroku could be looked at";
            return vec![Finding::error(Subject::Token, text).fix(NEW_TOKEN)];
        }
        TokenFacts::NoHttps => {
            let text = "HTTPS is not available here, so nothing at Heroku could be looked at";
            return vec![Finding::error(Subject::Token, text).fix(NO_CERTIFICATES)];
        }
        TokenFacts::Unusable { what } => {
            return vec![Finding::error(Subject::Token, what.clone()).fix(NEW_TOKEN)];
        }
        TokenFacts::Asked { account, scope, calls_left } => (account, scope.as_deref(), *calls_left),
    };
    let mut findings = vec![match account {
        Err(error @ ApiError::Unauthorized) => {
            return vec![Finding::error(Subject::Token, error.to_string()).fix(NEW_TOKEN)];
        }
        Err(error @ (ApiError::Unreachable { .. } | ApiError::Garbled { .. })) => {
            let fix = "look at HEROKU_API_URL, the network and https://status.heroku.com";
            return vec![Finding::error(Subject::Token, error.to_string()).fix(fix)];
        }
        // A suspended or delinquent account is refused whatever its token may do.
        Err(error @ ApiError::Forbidden { id, .. }) if matches!(&**id, "suspended" | "delinquent") => {
            let fix = "settle the account at https://dashboard.heroku.com/account";
            return vec![Finding::error(Subject::Token, error.to_string()).fix(fix)];
        }
        _ => judge(scope, account.is_ok()),
    }];
    if let Some(left) = calls_left.filter(|left| *left < limits::API_TOKENS_RESERVE) {
        let text = format!(
            "only {left} API calls are left to the account; below {} nothing is restarted",
            limits::API_TOKENS_RESERVE
        );
        let fix = format!(
            "wait, {} a minute come back, and find who else uses the account",
            limits::API_TOKENS_PER_MINUTE
        );
        findings.push(Finding::warning(Subject::Token, text).fix(fix));
    }
    findings
}

/// What `Oauth-Scope` says; several scopes have commas or blanks between them (heroku.md §5).
fn judge(scope: Option<&str>, reads_account: bool) -> Finding {
    let Some(scope) = scope else {
        return match reads_account {
            // `GET /account` is for the scopes `identity` and `global`.
            true => Finding::warning(
                Subject::Token,
                "valid; it can read the account, which it need not: its scope is probably global",
            )
            .fix(NEW_TOKEN),
            false => Finding::ok(Subject::Token, "valid and not global; the API does not report its scope"),
        };
    };
    let words: Vec<&str> = scope.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let has = |word| words.contains(&word);
    if !(has("global") || has("write") || has("write-protected")) {
        let text = format!("valid, but its scope is {scope}: it cannot restart anything");
        return Finding::error(Subject::Token, text).fix(NEW_TOKEN);
    }
    let more = match () {
        () if has("global") => "everything the account can, config vars and billing included",
        () if has("write-protected") || has("read-protected") => "read and write config vars",
        () if has("identity") => "read the account",
        () => return Finding::ok(Subject::Token, format!("valid, scope {scope}: what it needs and no more")),
    };
    let text = format!("valid, but its scope is {scope}: it can do more than it needs ({more})");
    Finding::warning(Subject::Token, text).fix(NEW_TOKEN)
}

const NO_CERTIFICATES: &str =
    "install the package ca-certificates, or name a file of certificates in SSL_CERT_FILE";

const NEW_TOKEN: &str =
    "export HEROKU_API_KEY=$(heroku authorizations:create -s write -d dynowarden --short)";
