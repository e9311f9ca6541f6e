import Foundation
import Hummingbird

/// The way from a page of a list to the next one.
///
/// Lists begin with the newest, and a page begins behind the last entry of the one before: so what is added meanwhile
/// moves nothing.
enum NextPage {
    /// The beginning of a list, and the name of the last entry where more come behind it.
    struct Cut<Item> {
        let items: [Item]
        let next: String?

        init(_ list: [Item], to count: Int, _ name: (Item) -> String) {
            items = Array(list.prefix(count))
            next = list.count > count ? items.last.map(name) : nil
        }
    }

    /// An answer with a link to the next page, if there is one: the request's own address from another place on.
    ///
    /// Source: https://www.rfc-editor.org/rfc/rfc8288
    static func link(to cursor: String?, from page: Response, for request: Request) -> Response {
        guard let cursor else { return page }
        let kept = request.uri.queryParameters.filter { $0.key != "after" }.map { (String($0.key), String($0.value)) }
        let query = (kept + [("after", cursor)]).map { "\(JobQueryItems.encoded($0))=\(JobQueryItems.encoded($1))" }
        var page = page
        if let link = HeaderName("link") {
            page.headers[link] = "<\(request.uri.path)?\(query.joined(separator: "&"))>; rel=\"next\""
        }
        return page
    }
}
