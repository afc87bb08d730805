"""Binaries, images and manifests on the deployer: downloads, bundles, the store; all by digest."""
