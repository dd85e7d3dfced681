using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>Where changes are made durable before they are visible.</summary>
internal interface IStoreJournal
{
    /// <summary>Writes a change as one unit. False when it cannot be kept; then nothing of it is kept.</summary>
    bool TryAppend(IReadOnlyList<StoreMutation> change);
}
