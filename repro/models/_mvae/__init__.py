"""Parts of MVAE."""
