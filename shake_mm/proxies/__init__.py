"""Proxy teachers: what stands between a frozen teacher and the student."""

from .shadow_head import ShadowHead

__all__ = ['ShadowHead']
