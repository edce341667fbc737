"""A cascade of two trained models: one screens the gallery, the other ranks the candidates."""
