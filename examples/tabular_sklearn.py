"""Train on few rows of a table, inside cross validation: a classification and a regression on data
of scikit-learn, beside uniform draws: python examples/tabular_sklearn.py  (needs imbalanced-learn)
"""

import numpy as np
from imblearn.pipeline import make_pipeline
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from skmm_fast.integrations.sklearn import SkMMSelector

FOLDS = {"n_splits": 5, "shuffle": True, "random_state": 0}


def compare(X, y, model, ways, **how):
    for name, selector in ways.items():
        steps = make_pipeline(StandardScaler(), selector, model)
        grid = {"skmmselector__n_to_select": [20, 40, 80], "skmmselector__random_state": [0, 1, 2]}
        scores = GridSearchCV(steps, grid, **how).fit(X, y).cv_results_["mean_test_score"]
        print(f"{name:20} n = 20, 40, 80: %.3f, %.3f, %.3f" % (*scores.reshape(3, 3).mean(axis=1),))
    score = cross_val_score(make_pipeline(StandardScaler(), model), X, y, **how).mean()
    print(f"{'all rows':20} {score:.3f}")


print("breast cancer, accuracy")
X, y = load_breast_cancer(return_X_y=True)
ways = {
    "uniform draws": SkMMSelector(method="uniform"),
    "uniform, stratified": SkMMSelector(method="uniform", per_class="proportional"),
    "the default": SkMMSelector(),
    "with a pilot": SkMMSelector(pilot="linear"),
}
compare(X, y, LogisticRegression(), ways, cv=StratifiedKFold(**FOLDS), scoring="accuracy")

print("diabetes, R²")
X, y = load_diabetes(return_X_y=True)
y = (y - y.mean()) / y.std()  # whole numbers would be taken as classes
del ways["uniform, stratified"]
compare(X, y, RidgeCV(np.logspace(-2, 3, 11)), ways, cv=KFold(**FOLDS), scoring="r2")
