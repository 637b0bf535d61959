//! The shared state of the status page: its model, its streams, its form token and its assets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use secrecy::SecretString;

use crate::dyno_env;
use crate::http::Service;
use crate::http::denied::Denied;
use crate::http::events::Streams;
use crate::http::forms::FormToken;
use crate::http::reply::gzip;
use crate::status_model::StatusModel;
use crate::ui::assets::{Asset, Assets};
use crate::ui::facts::Facts;
use crate::ui::layout::{Layout, Told};
use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::limits;

/// The state of the status page; absent without an `ADMIN_PASSWORD`.
#[derive(Debug)]
pub struct AdminUi {
    pub(super) status_model: Arc<StatusModel>,
    pub(super) streams: Streams,
    pub(super) token: FormToken,
    /// The answers to the last forms, for the pages that the browser is sent to.
    answers: Mutex<VecDeque<(u64, Told)>>,
    assets: Assets,
    public_url: Option<PublicUrl>,
    /// The path of each asset, and its compressed content.
    packed: Vec<(String, Bytes)>,
}

// === impl AdminUi ===

impl AdminUi {
    /// `process` is a number that identifies this process; see [`Streams::new`].
    pub fn new(
        password: &SecretString,
        public_url: Option<PublicUrl>,
        status_model: Arc<StatusModel>,
        process: u64,
    ) -> Self {
        let assets = Assets::embedded();
        let packed = [&assets.icon, &assets.script, &assets.style]
            .into_iter()
            .map(|asset| (asset.path.clone(), gzip(asset.content.as_bytes(), Compression::best())))
            .collect();
        let on_heroku = || dyno_env::host().and_then(|host| PublicUrl::parse(&format!("https://{host}")));
        Self {
            answers: Mutex::default(),
            assets,
            packed,
            public_url: public_url.or_else(on_heroku),
            status_model,
            streams: Streams::new(process),
            token: FormToken::new(password),
        }
    }

    /// The frame of a page that shows every event up to `seen`.
    pub(super) fn layout<'f>(&'f self, seen: &'f str) -> Layout<'f> {
        Layout {
            assets: &self.assets,
            public_url: self.public_url.as_ref(),
            seen,
            told: None,
            token: self.token.as_str(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Keeps the answer to a form; returns its number.
    pub(super) fn tell(&self, told: Told) -> u64 {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = answers.back().map_or(1, |(number, _)| number + 1);
        if answers.len() >= limits::FORM_ANSWERS_MAX {
            answers.pop_front();
        }
        answers.push_back((number, told));
        number
    }

    /// The answer with this number, as long as it is kept.
    pub(super) fn told(&self, number: u64) -> Option<Told> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find(|(known, _)| *known == number).map(|(_, told)| told.clone())
    }

    pub(super) fn asset(&self, path: &str) -> Option<(&Asset, Bytes)> {
        let asset = self.assets.find(path)?;
        let (_, packed) = self.packed.iter().find(|(name, _)| name == path)?;
        Some((asset, packed.clone()))
    }
}

// === impl Service ===

impl Service {
    pub(super) async fn facts(&self, admin_ui: &AdminUi) -> Result<Facts, Denied> {
        let status = self.handle.status().await?;
        let (trouble, warn) = (self.readiness.trouble(), self.readiness.remarks());
        Ok(Facts { trouble, warn, ..admin_ui.status_model.facts(status, self.clock.now()) })
    }
}
