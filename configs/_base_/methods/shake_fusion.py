# The variant that SHAKE's authors released: its losses, and a proxy that fuses three levels of the teacher's features
# (of a VGG, which has four, the first three; 512 channels go into its classifier either way).
_base_ = './shake_release.py'

method = dict(proxies=dict(type='TeacherFusion', source=['teacher*.f1', 'teacher*.f2', 'teacher*.f3']))
