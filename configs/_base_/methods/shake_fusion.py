# The variant that SHAKE's authors released: its losses, and a proxy that fuses the teacher's features.
_base_ = './shake_release.py'

method = dict(proxies=dict(type='TeacherFusion'))
