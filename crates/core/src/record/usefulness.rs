//! Whether a restart helped, as far as that matters to the next one.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usefulness {
    /// It helped, or it is not judged yet, or nothing that followed can show it.
    #[default]
    Unknown,
    /// The error was soon back.
    Useless,
    /// The API accepted it and did not carry it out, so it says nothing about the ones before.
    NeverHappened,
}

impl Usefulness {
    /// Whether the next restart begins another row of those that did not help.
    pub fn ends_row(self) -> bool {
        self == Self::Unknown
    }
}
