namespace Shinano.XenStore.Server.Journal;

/// <summary>What was found when the journal was opened.</summary>
/// <param name="Existed">False for a new state directory.</param>
/// <param name="Changes">Whole changes read after the checkpoint.</param>
/// <param name="IgnoredBytes">Bytes of a torn or damaged end that were left out; 0 after a clean stop.</param>
public sealed record JournalRecovery(bool Existed, int Changes, long IgnoredBytes);
