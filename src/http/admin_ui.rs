//! What the status page's routes share: its model, its streams, its form token and its assets.

use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use secrecy::SecretString;

use crate::driver::Stopped;
use crate::http::Service;
use crate::http::denied::Denied;
use crate::http::events::Streams;
use crate::http::forms::FormToken;
use crate::http::reply::pack;
use crate::status_model::StatusModel;
use crate::ui::assets::{Asset, Assets};
use crate::ui::facts::Facts;
use crate::ui::layout::Layout;

/// What the routes of the status page need beside the rest of the HTTP server; there is none without an
/// `ADMIN_PASSWORD`.
#[derive(Debug)]
pub struct AdminUi {
    pub(super) status_model: Arc<StatusModel>,
    pub(super) streams: Streams,
    pub(super) token: FormToken,
    assets: Assets,
    /// The style sheet, the script and the icon, packed once.
    packed: Vec<(String, Bytes)>,
}

// === impl AdminUi ===

impl AdminUi {
    /// A desk for the admins who know this password; `life` is a number that no other life of the program
    /// has.
    pub fn new(password: &SecretString, status_model: Arc<StatusModel>, life: u64) -> Self {
        let assets = Assets::embedded();
        let packed = [&assets.icon, &assets.script, &assets.style]
            .into_iter()
            .map(|asset| (asset.path.clone(), pack(asset.content.as_bytes(), Compression::best())))
            .collect();
        Self { assets, status_model, packed, streams: Streams::new(life), token: FormToken::of(password) }
    }

    /// What stands around a page whose maker has seen everything up to `seen`.
    pub(super) fn frame<'f>(&'f self, seen: &'f str) -> Layout<'f> {
        Layout { assets: &self.assets, seen, token: self.token.as_str(), version: env!("CARGO_PKG_VERSION") }
    }

    pub(super) fn asset(&self, path: &str) -> Option<(&Asset, Bytes)> {
        let asset = self.assets.find(path)?;
        let (_, packed) = self.packed.iter().find(|(name, _)| name == path)?;
        Some((asset, packed.clone()))
    }
}

// === impl Service ===

impl Service {
    /// Everything as it is at this moment.
    pub(super) async fn facts(&self, admin_ui: &AdminUi) -> Result<Facts, Denied> {
        let status = self.handle.status().await.map_err(|Stopped| Denied::Stopping)?;
        let (trouble, warn) = (self.readiness.trouble(), self.readiness.remarks());
        Ok(Facts { trouble, warn, ..admin_ui.status_model.facts(status, self.clock.now()) })
    }
}
