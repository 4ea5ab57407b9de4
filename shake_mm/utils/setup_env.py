"""What other programs call to make a package of OpenMMLab's known."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing: our registries import the parts when they are asked for one.

    mmengine's ``get_model`` calls the function of this name of every package.

    Args:
        init_default_scope (bool): Ignored. Our configs say the scope of their networks, which is another package's.
    """
