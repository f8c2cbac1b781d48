//! What `balancer.yaml` says: typed as it is written, with the position of everything in it.
