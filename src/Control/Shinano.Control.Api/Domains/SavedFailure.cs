using Shinano.SavedState;

namespace Shinano.Control.Api.Domains;

/// <summary>What is wrong with a saved domain, as xend and its clients name it.</summary>
public static class SavedFailure
{
    /// <param name="e">What the file was refused for.</param>
    /// <param name="path">The file.</param>
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

    /// <summary>What is wrong with the stream of a migration.</summary>
    public static DomainFailureException OfStream(SavedStateException e)
    {
        ArgumentNullException.ThrowIfNull(e);
        return new DomainFailureException(
            e.Error switch
            {
                SavedStateError.NotRecognised => DomainFailureCode.NotAMigration,
                SavedStateError.WrongVersion => DomainFailureCode.MigrationVersion,
                SavedStateError.Truncated => DomainFailureCode.MigrationBroken,
                SavedStateError.Damaged => DomainFailureCode.MigrationDamaged,
                _ => DomainFailureCode.MigrationSenseless,
            },
            e.Message,
            e);
    }
}
