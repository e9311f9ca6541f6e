import Credit
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

extension HoldView {
    /// What became of a booking.
    init(_ booking: HoldBooking) {
        self.init(
            issuer: booking.issuerDID.text, hold: booking.hold.text, amount: booking.amount.units,
            unit: booking.unit.name, decimals: booking.unit.decimals, state: .due)
        dueAt = booking.dueAt?.value
        switch booking.state {
        case .due: break
        case .claimed(let entry, _): (state, self.entry) = (.claimed, entry)
        case .disputed(let entry, _): (state, self.entry) = (.disputed, entry)
        case .ended(let entry, let paid):
            (state, self.entry) = (paid == .zero ? .released : .paid, entry)
            amount = paid.units
        case .lost(let reason): (state, self.reason) = (.lost, reason)
        }
    }

    /// A hold about which nothing is to be booked so far.
    init(_ certificate: HoldCertificate) {
        self.init(
            issuer: certificate.issuerDID.text, hold: certificate.holdCID.text, amount: certificate.amount.units,
            unit: certificate.unit.name, decimals: certificate.unit.decimals, state: .held)
        entry = certificate.entry
    }
}
