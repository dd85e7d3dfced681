using Shinano.Control.Api.Domains;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>What is wrong with a saved domain, as xend and its clients name it.</summary>
internal static class SavedFailure
{
    public static DomainFailureException Of(SavedStateException e, string path) => new(
        e.Error switch
        {
            SavedStateError.NotRecognised => DomainFailureCode.NotASavedDomain,
            SavedStateError.WrongVersion => DomainFailureCode.SavedDomainVersion,
            SavedStateError.Truncated => DomainFailureCode.SavedDomainTruncated,
            SavedStateError.Damaged => DomainFailureCode.SavedDomainDamaged,
            _ => DomainFailureCode.SavedDomainSenseless,
        },
        $"{path}: {e.Message}",
        e);
}
