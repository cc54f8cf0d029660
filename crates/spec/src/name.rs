//! Case folding of names for the matches that ignore case.

/// Fold `name` by Unicode's full case folding.
///
/// `to_lowercase` treats a final sigma by its context, so that `ipartial` would find less than `partial`.
pub fn fold(name: &str) -> String {
    caseless::default_case_fold_str(name)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folds_without_regard_to_context() {
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert!(fold("ΟΔΟΣ.txt").contains(&fold("ΟΔΟΣ")));
        assert_eq!(fold("Straße"), fold("STRASSE"));
    }
}
