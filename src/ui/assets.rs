//! The style sheet, the script and the icon, embedded in the binary.
//!
//! Their names contain a hash of their content, so a browser may cache them permanently.

use sha2::{Digest, Sha256};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    pub icon: Asset,
    pub script: Asset,
    pub style: Asset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    pub content: &'static str,
    pub content_type: &'static str,
    /// The path under which it is served.
    pub path: String,
}

impl Assets {
    pub fn embedded() -> Self {
        Self {
            icon: Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")),
            script: Asset::new(
                "live",
                "js",
                "text/javascript; charset=utf-8",
                include_str!("assets/live.js"),
            ),
            style: Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css")),
        }
    }

    pub fn find(&self, path: &str) -> Option<&Asset> {
        [&self.icon, &self.script, &self.style].into_iter().find(|asset| asset.path == path)
    }
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let version: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { content, content_type, path: format!("/assets/{name}-{version}.{extension}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Assets;

    #[test]
    fn only_the_exact_path_finds_an_asset() {
        let assets = Assets::embedded();
        for asset in [&assets.icon, &assets.script, &assets.style] {
            assert_eq!(assets.find(&asset.path), Some(asset));
        }
        for path in ["/assets/live.js", "/assets/", "/assets/../Cargo.toml", ""] {
            assert_eq!(assets.find(path), None, "{path}");
        }
    }

    #[test]
    fn the_script_is_small_and_nothing_is_loaded_from_other_origins() {
        let assets = Assets::embedded();
        assert!(assets.script.content.len() < 7 * 1024, "{}", assets.script.content.len());
        for asset in [&assets.icon, &assets.script, &assets.style] {
            let elsewhere = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("//") || !elsewhere.contains("http"), "{}", asset.path);
            assert!(!elsewhere.contains("@import") && !elsewhere.contains("url("), "{}", asset.path);
        }
    }
}
