"""Banks whose answers are made beforehand, so that they are not what is measured."""
