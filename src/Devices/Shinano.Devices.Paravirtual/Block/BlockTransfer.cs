using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>Carries out requests: checks, maps, and moves bytes between the image and the guest's pages. Holds no state of a request.</summary>
internal sealed class BlockTransfer(BlockMedium medium, GrantCache grants, BlockCounters counters, BlockSettings settings)
{
    /// <summary>BLKIF_DISCARD_SECURE.</summary>
    private const byte SecureDiscard = 1;

    /// <summary>Carries out one request.</summary>
    /// <exception cref="IOException">The image's error.</exception>
    public async ValueTask<BlockStatus> ExecuteAsync(BlockRequest request)
    {
        IBlockImage? image = await medium.EnterAsync().ConfigureAwait(false);
        try
        {
            return image is null ? BlockStatus.Error : await ExecuteAsync(request, image).ConfigureAwait(false);
        }
        finally
        {
            medium.Leave();
        }
    }

    private async ValueTask<BlockStatus> ExecuteAsync(BlockRequest request, IBlockImage image)
    {
        switch (request.Operation)
        {
            case BlockOperation.Read:
                return await TransferAsync(request, image, isRead: true).ConfigureAwait(false);

            case BlockOperation.Write:
                return settings.ReadOnly ? BlockStatus.Error : await TransferAsync(request, image, isRead: false).ConfigureAwait(false);

            case BlockOperation.WriteBarrier when !request.IsIndirect:
                return settings.ReadOnly ? BlockStatus.Error : await WriteBarrierAsync(request, image).ConfigureAwait(false);

            case BlockOperation.FlushDiskCache when !request.IsIndirect:
                return await FlushAsync(request, image).ConfigureAwait(false);

            case BlockOperation.Discard when !request.IsIndirect:
                return await DiscardAsync(request, image).ConfigureAwait(false);

            default:
                return request.IsIndirect ? BlockStatus.Error : BlockStatus.NotSupported;
        }
    }

    private async ValueTask<BlockStatus> WriteBarrierAsync(BlockRequest request, IBlockImage image)
    {
        await image.FlushAsync().ConfigureAwait(false);
        BlockStatus status = request.SegmentCount == 0 ? BlockStatus.Okay : await TransferAsync(request, image, isRead: false).ConfigureAwait(false);
        await image.FlushAsync().ConfigureAwait(false);
        counters.CountFlush();
        return status;
    }

    private async ValueTask<BlockStatus> FlushAsync(BlockRequest request, IBlockImage image)
    {
        await image.FlushAsync().ConfigureAwait(false);
        counters.CountFlush();
        return request.SegmentCount == 0 ? BlockStatus.Okay
            : settings.ReadOnly ? BlockStatus.Error
            : await TransferAsync(request, image, isRead: false).ConfigureAwait(false);
    }

    private async ValueTask<BlockStatus> DiscardAsync(BlockRequest request, IBlockImage image)
    {
        if (!settings.Discard || (request.Flags & SecureDiscard) != 0)
        {
            return BlockStatus.NotSupported;
        }

        if (!IsInside(image, request.Sector, request.SectorCount, out long offset))
        {
            return BlockStatus.Error;
        }

        counters.CountDiscard();
        await image.DiscardAsync(offset, (long)request.SectorCount * BlockSegment.SectorSize).ConfigureAwait(false);
        return BlockStatus.Okay;
    }

    private async ValueTask<BlockStatus> TransferAsync(BlockRequest request, IBlockImage image, bool isRead)
    {
        BlockSegment[]? segments = request.IsIndirect ? ReadIndirect(request) : request.Segments;
        if (segments is null || segments.Length == 0 || segments.Length != request.SegmentCount)
        {
            return BlockStatus.Error;
        }

        int length = 0;
        foreach (BlockSegment segment in segments)
        {
            if (!segment.IsValid)
            {
                return BlockStatus.Error;
            }

            length += segment.Length;
        }

        if (!IsInside(image, request.Sector, (ulong)(length / BlockSegment.SectorSize), out long offset))
        {
            return BlockStatus.Error;
        }

        GrantCache.Lease[] pages = new GrantCache.Lease[segments.Length];
        int mapped = 0;
        try
        {
            for (; mapped < segments.Length; mapped++)
            {
                if (grants.TryTake(segments[mapped].Reference, writable: isRead) is not { } lease)
                {
                    return BlockStatus.Error;
                }

                pages[mapped] = lease;
                if (lease.Page.Bytes.Length < segments[mapped].Offset + segments[mapped].Length || (isRead && !lease.Page.IsWritable))
                {
                    mapped++;
                    return BlockStatus.Error;
                }
            }

            await MoveAsync(image, offset, segments, pages, isRead).ConfigureAwait(false);
            if (isRead)
            {
                counters.CountRead(length);
            }
            else
            {
                counters.CountWrite(length);
            }

            return BlockStatus.Okay;
        }
        finally
        {
            for (int i = 0; i < mapped; i++)
            {
                grants.Return(pages[i]);
            }
        }
    }

    /// <summary>The image reads into the guest's pages and writes from them as they are.</summary>
    private static async ValueTask MoveAsync(IBlockImage image, long offset, BlockSegment[] segments, GrantCache.Lease[] pages, bool isRead)
    {
        BufferList bytes = ListOf(segments, pages);
        if (!isRead)
        {
            await image.WriteAsync(offset, bytes).ConfigureAwait(false);
            return;
        }

        try
        {
            await image.ReadAsync(offset, bytes).ConfigureAwait(false);
        }
        finally
        {
            // Also what a failed read left in them.
            for (int i = 0; i < segments.Length; i++)
            {
                pages[i].Page.Announce(segments[i].Offset, segments[i].Length);
            }
        }
    }

    private static BufferList ListOf(BlockSegment[] segments, GrantCache.Lease[] pages)
    {
        if (segments.Length == 1)
        {
            return new BufferList(pages[0].Page.Bytes.Slice(segments[0].Offset, segments[0].Length));
        }

        Memory<byte>[] pieces = new Memory<byte>[segments.Length];
        for (int i = 0; i < pieces.Length; i++)
        {
            pieces[i] = pages[i].Page.Bytes.Slice(segments[i].Offset, segments[i].Length);
        }

        return new BufferList(pieces);
    }

    private static bool IsInside(IBlockImage image, ulong sector, ulong count, out long offset)
    {
        ulong sectors = (ulong)image.Length / BlockSegment.SectorSize;
        bool isInside = count <= sectors && sector <= sectors - count;
        offset = isInside ? (long)sector * BlockSegment.SectorSize : 0;
        return isInside;
    }

    /// <summary>Copies the segments of an indirect request out of the guest's page.</summary>
    private BlockSegment[]? ReadIndirect(BlockRequest request)
    {
        if (request.SegmentCount is 0 or > BlockQueue.MaximumIndirectSegments || grants.TryTake(request.Pages, writable: false) is not { } lease)
        {
            return null;
        }

        try
        {
            int size = request.SegmentCount * BlockAbi.SegmentSize;
            if (lease.Page.Bytes.Length < size)
            {
                return null;
            }

            byte[] copy = lease.Page.Bytes.Span[..size].ToArray();
            return BlockAbi.ReadSegments(copy, request.SegmentCount);
        }
        finally
        {
            grants.Return(lease);
        }
    }
}
