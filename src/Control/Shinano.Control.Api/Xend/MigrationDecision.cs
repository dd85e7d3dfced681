namespace Shinano.Control.Api.Xend;

/// <summary>What is to become of a domain that was handed over without an answer.</summary>
public enum MigrationDecision
{
    /// <summary>Ask the target, once.</summary>
    Ask,

    /// <summary>It goes on here: somebody knows that it does not run at the target, and never will.</summary>
    Resume,

    /// <summary>It is gone from here: somebody knows that it runs at the target.</summary>
    Destroy,
}
