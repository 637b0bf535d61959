//! The possible API calls: a closed list, so that no other request can be sent to the Platform API.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use dynowarden_core::ident::{AppName, DynoName};

#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'c> {
    Account,
    App(&'c AppName),
    CreateDrain(&'c AppName, &'c SecretString),
    DeleteDyno(&'c AppName, &'c DynoName),
    Drains(&'c AppName),
    Dyno(&'c AppName, &'c DynoName),
    DynoSizes,
    Dynos(&'c AppName),
    Features(&'c AppName),
    Formation(&'c AppName),
    RateLimits,
}

impl Call<'_> {
    pub(super) fn method(self) -> Method {
        match self {
            Self::CreateDrain(..) => Method::POST,
            Self::DeleteDyno(..) => Method::DELETE,
            Self::Account
            | Self::App(_)
            | Self::Drains(_)
            | Self::Dyno(..)
            | Self::DynoSizes
            | Self::Dynos(_)
            | Self::Features(_)
            | Self::Formation(_)
            | Self::RateLimits => Method::GET,
        }
    }

    /// Names are typed, and none of their allowed characters has a meaning in a path.
    pub(super) fn path(self) -> String {
        match self {
            Self::Account => "/account".to_owned(),
            Self::App(app) => format!("/apps/{app}"),
            Self::CreateDrain(app, _) | Self::Drains(app) => format!("/apps/{app}/log-drains"),
            Self::DeleteDyno(app, dyno) | Self::Dyno(app, dyno) => format!("/apps/{app}/dynos/{dyno}"),
            Self::DynoSizes => "/dyno-sizes".to_owned(),
            Self::Dynos(app) => format!("/apps/{app}/dynos"),
            Self::Features(app) => format!("/apps/{app}/features"),
            Self::Formation(app) => format!("/apps/{app}/formation"),
            Self::RateLimits => "/account/rate-limits".to_owned(),
        }
    }

    pub(super) fn body(self) -> Option<String> {
        match self {
            Self::CreateDrain(_, url) => Some(json!({ "url": url.expose_secret() }).to_string()),
            _ => None,
        }
    }

    pub(super) fn is_about_app(self) -> bool {
        !matches!(self, Self::Account | Self::DynoSizes | Self::RateLimits)
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::App(_) => "app",
            Self::CreateDrain(..) => "create_drain",
            Self::DeleteDyno(..) => "delete_dyno",
            Self::Drains(_) => "list_drains",
            Self::Dyno(..) => "dyno",
            Self::DynoSizes => "dyno_sizes",
            Self::Dynos(_) => "list_dynos",
            Self::Features(_) => "list_features",
            Self::Formation(_) => "formation",
            Self::RateLimits => "rate_limits",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use secrecy::SecretString;

    use super::Call;
    use dynowarden_core::ident::{AppName, DynoName};

    #[test]
    fn only_one_call_restarts_and_it_names_one_dyno() {
        let app: AppName = "acme".parse().expect("an app");
        let dyno: DynoName = "web.2".parse().expect("a dyno");
        let url = SecretString::from("https://u:p@dyno.example/logs/acme");
        for (call, method, path) in [
            (Call::Account, Method::GET, "/account"),
            (Call::App(&app), Method::GET, "/apps/acme"),
            (Call::CreateDrain(&app, &url), Method::POST, "/apps/acme/log-drains"),
            (Call::DeleteDyno(&app, &dyno), Method::DELETE, "/apps/acme/dynos/web.2"),
            (Call::Drains(&app), Method::GET, "/apps/acme/log-drains"),
            (Call::Dyno(&app, &dyno), Method::GET, "/apps/acme/dynos/web.2"),
            (Call::DynoSizes, Method::GET, "/dyno-sizes"),
            (Call::Dynos(&app), Method::GET, "/apps/acme/dynos"),
            (Call::Features(&app), Method::GET, "/apps/acme/features"),
            (Call::Formation(&app), Method::GET, "/apps/acme/formation"),
            (Call::RateLimits, Method::GET, "/account/rate-limits"),
        ] {
            assert_eq!((call.method(), call.path().as_str()), (method, path), "{call:?}");
            assert!(!format!("{call:?}").contains("u:p"), "{call:?}");
        }
    }
}
