using Shinano.SavedState;

namespace Shinano.Control.Api.Domains;

/// <summary>What is wrong with a snapshot's record, as xend and its clients name it.</summary>
public static class SnapshotFailure
{
    /// <param name="e">What the file was refused for.</param>
    /// <param name="path">The file.</param>
    public static DomainFailureException Of(SavedStateException e, string path) => new(
        e.Error switch
        {
            SavedStateError.NotRecognised => DomainFailureCode.NotASnapshot,
            SavedStateError.WrongVersion => DomainFailureCode.SnapshotVersion,
            SavedStateError.Truncated => DomainFailureCode.SnapshotTruncated,
            SavedStateError.Damaged => DomainFailureCode.SnapshotDamaged,
            _ => DomainFailureCode.SnapshotSenseless,
        },
        $"{path}: {e.Message}",
        e);
}
