from .digits import DigitPairs, Digits

__all__ = ['DigitPairs', 'Digits']
