//! What both services read.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::books::Books;

#[derive(Default)]
pub struct Shared {
    root: ArcSwap<PathBuf>,
    pub books: Arc<Books>,
}

impl Shared {
    pub fn root(&self) -> Arc<PathBuf> {
        self.root.load_full()
    }

    pub fn set_root(&self, root: PathBuf) {
        self.root.store(Arc::new(root));
    }
}
