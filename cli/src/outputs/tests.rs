//! Two runs and a user share a folder: nothing of the user's is lost.

use super::*;

/// A machine with a cache and a place for outputs.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: TempDir::new().expect("the temporary directory is writable") }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("work/job-outputs")
    }

    fn choose(&self, overwrite: bool) -> Result<Destination, Error> {
        fs::create_dir_all(self.root.path().join("work")).expect("the place is writable");
        Destination::choose(&self.directory(), overwrite, &self.root.path().join("cache"))
    }

    /// A run that leaves these files.
    fn run(&self, files: &[(&str, &str)], overwrite: bool) -> Result<Option<Kept>, Error> {
        let destination = self.choose(overwrite)?;
        for (path, text) in files {
            write(&destination.staging().join(path), text);
        }
        destination.keep()
    }

    /// What is in the folder, and that nothing was left beside it.
    fn files(&self) -> Vec<(String, String)> {
        let beside: Vec<_> = fs::read_dir(self.root.path().join("work")).expect("it is there").collect();
        assert!(beside.len() <= 1, "{beside:?}");
        let text = |path: &PathBuf| fs::read_to_string(self.directory().join(path)).expect("it was listed");
        let files = scan(&self.directory()).expect("it is readable").files;
        files.keys().map(|path| (path.display().to_string(), text(path))).collect()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the place is writable");
    fs::write(path, text).expect("the place is writable");
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_second_run_replaces_the_first_ones_files() {
    let place = Place::new();
    let kept = place.run(&[("a.png", "1"), ("sub/b.png", "22")], false).expect("the place is free");
    assert_eq!(kept, Some(Kept { directory: place.directory().canonicalize().expect("it was made"), files: 2, bytes: 3 }));
    place.run(&[("a.png", "3")], false).expect("the files are the first run's");
    assert_eq!(place.files(), owned(&[("a.png", "3")]));
}

#[test]
fn a_run_that_leaves_nothing_leaves_no_folder() {
    let place = Place::new();
    place.run(&[("a.png", "1")], false).expect("the place is free");
    assert_eq!(place.run(&[], false).expect("the files are the first run's"), None);
    assert!(!place.directory().exists());
}

#[test]
fn a_run_that_is_given_up_changes_nothing() {
    let place = Place::new();
    place.run(&[("a.png", "1")], false).expect("the place is free");
    let destination = place.choose(false).expect("the files are the first run's");
    write(&destination.staging().join("half.png"), "?");
    drop(destination);
    assert_eq!(place.files(), owned(&[("a.png", "1")]));
}

#[test]
fn files_that_no_run_wrote_are_refused_until_they_may_stay() {
    let place = Place::new();
    write(&place.directory().join("notes.txt"), "mine");
    let refusal = place.run(&[("a.png", "1")], false).expect_err("notes.txt is the user's");
    assert!(matches!(&refusal, Error::HoldsOtherFiles { file, .. } if file == Path::new("notes.txt")), "{refusal}");
    assert!(refusal.to_string().contains("--overwrite"), "{refusal}");
    place.run(&[("a.png", "1")], true).expect("it was allowed");
    assert_eq!(place.files(), owned(&[("a.png", "1"), ("notes.txt", "mine")]));
}

#[test]
fn a_file_that_was_changed_since_is_the_users() {
    let place = Place::new();
    place.run(&[("a.txt", "1")], false).expect("the place is free");
    write(&place.directory().join("a.txt"), "edited");
    assert!(matches!(place.run(&[("a.txt", "2")], false), Err(Error::HoldsOtherFiles { .. })));
    assert_eq!(place.files(), owned(&[("a.txt", "edited")]));
}

#[test]
fn files_that_come_while_the_job_runs_stay() {
    let place = Place::new();
    let destination = place.choose(false).expect("the place is free");
    write(&destination.staging().join("a.png"), "1");
    write(&place.directory().join("notes.txt"), "mine");
    destination.keep().expect("both have room");
    assert_eq!(place.files(), owned(&[("a.png", "1"), ("notes.txt", "mine")]));
}

#[test]
fn a_link_is_followed_and_stays() {
    let place = Place::new();
    let real = place.root.path().join("elsewhere");
    fs::create_dir_all(&real).expect("the place is writable");
    fs::create_dir_all(place.root.path().join("work")).expect("the place is writable");
    std::os::unix::fs::symlink(&real, place.directory()).expect("the place is writable");
    place.run(&[("a.png", "1")], false).expect("the place is free");
    assert_eq!(fs::read_to_string(real.join("a.png")).expect("it was written"), "1");
    assert!(place.directory().is_symlink());
}

#[test]
fn a_file_in_the_folders_place_is_refused() {
    let place = Place::new();
    write(&place.directory(), "a file");
    assert!(matches!(place.choose(false), Err(Error::NotADirectory(_))));
    assert!(matches!(place.choose(true), Err(Error::NotADirectory(_))));
}

#[test]
fn outputs_that_cannot_be_placed_are_kept_and_named() {
    let place = Place::new();
    write(&place.directory().join("a.png/in-the-way"), "mine");
    let error = place.run(&[("a.png", "1")], true).expect_err("a directory is in the way");
    let Error::Place { kept, .. } = &error else { unreachable!("{error}") };
    assert_eq!(fs::read_to_string(kept.join("a.png")).expect("it was kept"), "1");
}
