//! Whether a restart helped, as far as that is known.

/// What is known of whether a restart helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usefulness {
    /// Not judged yet, or nothing that followed can show it.
    #[default]
    Unknown,
    Helped,
    /// The error was soon back.
    Useless,
    /// The API accepted it and did not carry it out, so it says nothing about the ones before.
    NeverHappened,
}

impl Usefulness {
    /// Whether the next restart begins another row of those that did not help.
    pub fn ends_row(self) -> bool {
        matches!(self, Self::Unknown | Self::Helped)
    }
}
