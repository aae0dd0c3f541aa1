"""The public files: market and settlement directories read with every fault named, results written whole or not at all."""
