//! toolbox
