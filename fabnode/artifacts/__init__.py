"""How the parts of a node come to the deployer: from the projects' places, or in one file."""
