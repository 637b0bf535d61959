//! Where a message leads: our own page, and Heroku's metrics of the app.

use crate::config::settings::Settings;
use crate::dyno_env;
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::incident::message::{Links, Message};

/// Makes the links of messages.
#[derive(Clone, Debug)]
pub(super) struct LinkMaker {
    /// None without a status page, or where its address is not known.
    page: Option<PublicUrl>,
}

impl LinkMaker {
    pub(super) fn new(settings: &Settings) -> Self {
        let on_heroku = || dyno_env::host().and_then(|host| PublicUrl::parse(&format!("https://{host}")));
        let has_page = settings.admin_password.is_some();
        Self { page: settings.public_url.clone().or_else(on_heroku).filter(|_| has_page) }
    }

    pub(super) fn of(&self, message: &Message) -> Links {
        let dyno = message.dynos.first().and_then(|dyno| dyno.name.as_ref());
        let path = match (message.apps.as_slice(), dyno) {
            ([app], Some(dyno)) => format!("/apps/{app}/dynos/{dyno}"),
            ([app], None) => format!("/apps/{app}"),
            _ => "/".to_owned(),
        };
        let dashboard = match (message.apps.as_slice(), dyno) {
            ([app], Some(dyno)) => {
                Some(format!("https://dashboard.heroku.com/apps/{app}/metrics/{}", dyno.process_type()))
            }
            ([app], None) => Some(format!("https://dashboard.heroku.com/apps/{app}/metrics")),
            _ => None,
        };
        Links { page: self.page.as_ref().map(|page| page.page(&path)), dashboard }
    }
}
