//! The shared state of the status page: its model, its streams, its form token and its assets.

use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use secrecy::SecretString;

use crate::http::Service;
use crate::http::denied::Denied;
use crate::http::events::Streams;
use crate::http::forms::FormToken;
use crate::http::reply::gzip;
use crate::status_model::StatusModel;
use crate::ui::assets::{Asset, Assets};
use crate::ui::facts::Facts;
use crate::ui::layout::Layout;

/// The state of the status page; absent without an `ADMIN_PASSWORD`.
#[derive(Debug)]
pub struct AdminUi {
    pub(super) status_model: Arc<StatusModel>,
    pub(super) streams: Streams,
    pub(super) token: FormToken,
    assets: Assets,
    /// The path of each asset, and its compressed content.
    packed: Vec<(String, Bytes)>,
}

// === impl AdminUi ===

impl AdminUi {
    /// `process` is a number that identifies this process; see [`Streams::new`].
    pub fn new(password: &SecretString, status_model: Arc<StatusModel>, process: u64) -> Self {
        let assets = Assets::embedded();
        let packed = [&assets.icon, &assets.script, &assets.style]
            .into_iter()
            .map(|asset| (asset.path.clone(), gzip(asset.content.as_bytes(), Compression::best())))
            .collect();
        Self { assets, status_model, packed, streams: Streams::new(process), token: FormToken::new(password) }
    }

    /// The frame of a page that shows every event up to `seen`.
    pub(super) fn layout<'f>(&'f self, seen: &'f str) -> Layout<'f> {
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
    pub(super) async fn facts(&self, admin_ui: &AdminUi) -> Result<Facts, Denied> {
        let status = self.handle.status().await?;
        let (trouble, warn) = (self.readiness.trouble(), self.readiness.remarks());
        Ok(Facts { trouble, warn, ..admin_ui.status_model.facts(status, self.clock.now()) })
    }
}
